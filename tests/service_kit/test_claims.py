"""Token claims: complete and of the right type, or refused."""

import pytest

from service_kit.claims import Caller, Role, caller_from_claims, has_required_claims, parse_user_id, policy

CLAIMS = {"sub": "7", "exp": 2, "iat": 1, "jti": "j", "sid": "s", "type": "access", "role": "student"}


def test_complete_claims_become_a_caller():
    assert has_required_claims(CLAIMS)
    assert caller_from_claims(CLAIMS) == Caller(user_id=7, role=Role.STUDENT, session_id="s")


@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_a_missing_claim_is_refused(name):
    assert not has_required_claims({key: value for key, value in CLAIMS.items() if key != name})


@pytest.mark.parametrize(
    "change", [{"sub": 7}, {"sub": "0"}, {"sub": "-1"}, {"type": "magic"}, {"role": "root"}, {"jti": ""}, {"sid": 1}]
)
def test_a_claim_of_the_wrong_shape_is_refused(change):
    assert not has_required_claims(CLAIMS | change)


@pytest.mark.parametrize("text", ["", "0", "01", "1,9", " 1", "1\n", "१", "1" * 20, None, 1])
def test_only_plain_digits_are_a_user_id(text):
    assert parse_user_id(text) is None


@pytest.mark.parametrize(("role", "is_moderator"), [(Role.STUDENT, False), (Role.MODERATOR, True), (Role.ADMIN, True)])
def test_admin_may_do_what_a_moderator_may(role, is_moderator):
    assert Caller(user_id=1, role=role, session_id="s").is_moderator is is_moderator


def test_unknown_policy_is_an_error_at_import():
    with pytest.raises(ValueError, match="everybody"):
        policy("everybody")
