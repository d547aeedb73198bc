"""The README's curl lines, run as they are printed."""

import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_lines_of_the_readme_work_as_printed(stack):
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    (lines,) = [block for block in blocks if "curl" in block]
    lines = lines.replace("http://localhost:8080", stack.url)
    # The two submissions of a fresh machine are number 1 and 2; here others came before.
    assert "/submissions/2 " in lines
    lines = lines.replace("$URL/submissions/2 ", "$LAST ")
    lines = lines.replace("curl -s $LAST", wait_for_last() + "curl -s $LAST")
    lines = lines.replace('"ada"', '"readme"').replace("ada@", "readme@")

    shown = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    ).stdout

    decoder, answers, at = json.JSONDecoder(), [], 0
    while (at := len(shown) - len(shown[at:].lstrip())) < len(shown):
        answer, at = decoder.raw_decode(shown, at)
        answers.append(answer)
    _, _, _, listed, notebook = answers
    assert [item["language"] for item in listed["items"]] == ["python", "python"]
    assert notebook["status"] == "completed"
    assert notebook["memory_used"] > 0
    assert any(output["mimetype"] == "image/png" for cell in notebook["cells"] for output in cell["outputs"])


def wait_for_last() -> str:
    """A person looks again until it is there; so does this loop, with an end."""
    return """
LAST=$(curl -s "$URL/submissions?limit=1" -H "Authorization: Bearer $TOKEN" |
  python3 -c 'import json, sys; print("'$URL'/submissions/" + str(json.load(sys.stdin)["items"][0]["id"]))')
for _ in $(seq 200); do
  curl -s $LAST -H "Authorization: Bearer $TOKEN" | grep -q '"status": *"\\(queued\\|running\\)"' || break
  sleep 0.1
done
"""
