"""What users do with submissions over HTTP. The rules are in submissions/; a view only reads like a sentence.

What workers do is in worker_routes.py.
"""

# mypy: disable-error-code="untyped-decorator"
# flask-smorest's decorators have no types.

from __future__ import annotations

import re
from typing import Any

from flask import Response, request, url_for

from main_service.config import Config, current_config
from main_service.extensions import db
from main_service.identity import get_caller_from_request, get_user_id_from_request
from main_service.models import Submission
from main_service.paging import Page
from main_service.submissions.intake import Order, announce, find_replay, job_for, order_again, record_submission
from main_service.submissions.languages import Language, list_languages
from main_service.submissions.reading import glance_at, list_own, load_whole, require_owner
from main_service.submissions.results import cancel
from main_service.submissions.schemas import (
    LanguageListSchema,
    LimitsSchema,
    ListArguments,
    SubmissionPageSchema,
    SubmissionSchema,
    SubmitCode,
)
from service_kit.app_frame import ServiceBlueprint
from service_kit.claims import policy
from service_kit.database import begin_reading
from service_kit.errors import Unprocessable

main_bp = ServiceBlueprint("main", __name__, url_prefix="/api")

# A larger number is no id in any database of ours, and an error on its way there.
_ONE = "/submissions/<int(min=1, max=9223372036854775807):submission_id>"
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,200}")

_with_token = main_bp.doc(security=[{"bearer": []}])
_idempotency_key_header = {
    "in": "header",
    "name": "Idempotency-Key",
    "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,200}$"},
    "description": "Sending the same request again under the same key gives the same submission.",
}
_none_match_header = {"in": "header", "name": "If-None-Match", "schema": {"type": "string"}}


@main_bp.route("/submissions", methods=["POST"], parameters=[_idempotency_key_header])
@policy("user")
@_with_token
@main_bp.arguments(SubmitCode)
@main_bp.response(202, SubmissionSchema)
def submit_code(order: Order) -> Any:
    """Store a submission, then hand it to the workers."""
    author_id = get_user_id_from_request()
    earlier = find_replay(author_id, order, _idempotency_key())
    if earlier is not None:
        return earlier, _new(earlier, replay=True)
    submission = record_submission(author_id, order, _idempotency_key())
    db.session.flush()  # The message needs submission.id. What fails up to the commit leaves neither row nor message.
    job = job_for(submission)
    db.session.commit()  # The row is the promise now: 202 holds even with the broker down.
    announce(submission, job)
    return submission, _new(submission)


@main_bp.route("/submissions", methods=["GET"])
@policy("user")
@_with_token
@main_bp.arguments(ListArguments, location="query")
@main_bp.response(200, SubmissionPageSchema)
def list_submissions(wanted: dict[str, Any]) -> Page:
    """The caller's own submissions, newest first, without their programs and outputs."""
    caller = get_caller_from_request()
    begin_reading(db.session)
    return list_own(caller, **wanted)


@main_bp.route(_ONE, methods=["GET"], parameters=[_none_match_header])
@policy("user")
@_with_token
@main_bp.response(200, SubmissionSchema)
@main_bp.alt_response(304, description="Nothing has changed since the ETag in If-None-Match.", success=True)
def get_submission(submission_id: int) -> Any:
    """One submission, for its owner and for moderators. Poll it with If-None-Match."""
    caller = get_caller_from_request()
    begin_reading(db.session)
    glance = glance_at(submission_id, caller)
    if request.if_none_match.contains_weak(str(glance.rev)):
        return Response(status=304, headers=_cached(glance.rev))
    submission = load_whole(submission_id)
    return submission, _cached(submission.rev)


@main_bp.route(f"{_ONE}/cancel", methods=["POST"])
@policy("user")
@_with_token
@main_bp.response(200, SubmissionSchema)
def cancel_submission(submission_id: int) -> Any:
    """End a submission that is not finished yet. Its owner may, and so may a moderator."""
    glance_at(submission_id, get_caller_from_request())
    cancel(submission_id)
    submission = load_whole(submission_id)
    return submission, _cached(submission.rev)


@main_bp.route(f"{_ONE}/rerun", methods=["POST"], parameters=[_idempotency_key_header])
@policy("user")
@_with_token
@main_bp.response(202, SubmissionSchema)
def rerun_submission(submission_id: int) -> Any:
    """Hand the same program in once more, as a new submission."""
    caller = get_caller_from_request()
    require_owner(submission_id, caller)
    order = order_again(load_whole(submission_id))
    earlier = find_replay(caller.user_id, order, _idempotency_key())
    if earlier is not None:
        return earlier, _new(earlier, replay=True)
    submission = record_submission(caller.user_id, order, _idempotency_key())
    db.session.flush()  # As in submit_code.
    job = job_for(submission)
    db.session.commit()
    announce(submission, job)
    return submission, _new(submission)


@main_bp.route("/languages", methods=["GET"])
@policy("anyone")
@main_bp.response(200, LanguageListSchema)
def languages() -> dict[str, list[Language]]:
    """The languages a submission may be written in."""
    begin_reading(db.session)
    return {"items": list_languages()}


@main_bp.route("/limits", methods=["GET"])
@policy("anyone")
@main_bp.response(200, LimitsSchema)
def limits() -> Config:
    """What a submission and its run may use."""
    return current_config()


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise Unprocessable("invalid_idempotency_key", "Idempotency-Key takes 1 to 200 visible ASCII characters.")
    return key


def _new(submission: Submission, *, replay: bool = False) -> dict[str, str]:
    """The headers that go with a submission just taken in, or found again under its key."""
    headers = _cached(submission.rev) | {"Location": url_for("main.get_submission", submission_id=submission.id)}
    return headers | {"Idempotent-Replay": "true"} if replay else headers


def _cached(rev: int) -> dict[str, str]:
    """A browser may keep the answer, and asks each time whether it still holds."""
    return {"ETag": f'"{rev}"', "Cache-Control": "private, no-cache"}
