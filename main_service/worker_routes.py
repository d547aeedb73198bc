"""What executor_worker asks over HTTP. Closed at the gateway, and every route needs the service token."""

# mypy: disable-error-code="untyped-decorator"
# flask-smorest's decorators have no types.

from __future__ import annotations

from typing import Any

from flask import request

from main_service.config import current_config
from main_service.submissions.languages import note_worker
from main_service.submissions.leases import Claim, claim
from main_service.submissions.results import Report, apply_result
from main_service.submissions.schemas import (
    ClaimArguments,
    ClaimSchema,
    ReportSchema,
    StoredResultSchema,
    WorkerSchema,
    storable_word,
)
from service_kit.app_frame import ServiceBlueprint
from service_kit.claims import policy

worker_bp = ServiceBlueprint("worker", __name__, url_prefix="/internal")

_ONE = "/submissions/<int(min=1, max=9223372036854775807):submission_id>"


@worker_bp.before_request
def _take_larger_bodies() -> None:
    request.max_content_length = current_config().max_result_bytes


@worker_bp.route(f"{_ONE}/claim", methods=["POST"])
@policy("service")
@worker_bp.arguments(ClaimArguments)
@worker_bp.response(200, ClaimSchema)
def claim_submission(asked: dict[str, Any], submission_id: int) -> Claim:
    """The right to run a submission, and all that is needed for it."""
    return claim(submission_id, asked["worker_id"], asked["job_key"], redelivered=asked["redelivered"])


@worker_bp.route(f"{_ONE}/result", methods=["PATCH"])
@policy("service")
@worker_bp.arguments(ReportSchema)
@worker_bp.response(200, StoredResultSchema)
def store_result(report: Report, submission_id: int) -> dict[str, Any]:
    """The result of one attempt."""
    return {"status": apply_result(submission_id, report)}


@worker_bp.route("/workers/<worker_id>", methods=["PUT"])
@policy("service")
@worker_bp.arguments(WorkerSchema)
@worker_bp.response(204)
def announce_worker(said: dict[str, Any], worker_id: str) -> None:
    """What a worker can run; repeated every 30 seconds."""
    note_worker(storable_word(worker_id), said)
