"""Files as a person gives them: chosen, dragged, pasted; told of, cancelled, taken up again, sent along."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.axe import violations
from tests.browser.desk import Desk
from tests.browser.stage import AGENT, TAKES, THREAD, Stage, answer, question

Draw = Callable[..., Stage]
SEND = f"/c/{THREAD}/messages/"
TEN = b"0123456789" * 1000
TRAYED = {
    "id": "01F0", "name": "plan.txt", "size": 2048, "state": "ready", "code": None, "message": None,
    "messages": ["Q1"], "preview_url": None, "download_url": "/files/01F0/download/",
    "handed": [{"agent": {"id": "01AGENT", "name": "Guide"}, "state": "expired", "expires_at": None}],
}  # fmt: skip


def file(name: str = "notes.txt", data: bytes = b"Hello", kind: str = "text/plain") -> Any:
    return {"name": name, "mimeType": kind, "buffer": data}


@pytest.fixture
def stage(drawn_page: Draw) -> Stage:
    made = drawn_page([question("Q1", "Why?"), answer("A1", "Because.", "Q1")])
    made.replies[SEND] = (202, {"conversation": THREAD, "question": "Q2", "answer": "A2"})
    return made


@pytest.fixture
def desk(stage: Stage) -> Desk:
    return Desk(stage)


def give(stage: Stage, *files: Any) -> None:
    stage.page.set_input_files("#upload", list(files))


def state(stage: Stage, said: str, name: str = "") -> None:
    stage.page.wait_for_selector(f".given .file:has-text('{name}') .how:has-text('{said}')")


def dropped(stage: Stage, *files: tuple[str, str]) -> Any:
    """A drag that carries files."""
    return stage.page.evaluate_handle(
        """files => { const data = new DataTransfer();
        for (const [name, text] of files) data.items.add(new File([text], name, { type: "text/plain" }));
        return data; }""",
        list(files),
    )


def test_limits_and_types_are_told_before_one_chooses(stage: Stage, desk: Desk) -> None:
    page = stage.open()
    page.click("#give")
    assert "Up to 3 files, each at most 20" in page.inner_text("#giving")
    assert "Types: .txt .md .png" in page.inner_text("#giving")
    with page.expect_file_chooser() as chooser:
        page.click("#choose")
    chooser.value.set_files([file()])
    state(stage, "Ready", "notes.txt")
    assert page.locator("#text").evaluate("e => e === document.activeElement"), "and one may go on writing"


def test_a_file_goes_along_with_the_question_and_is_shown_under_it(stage: Stage, desk: Desk) -> None:
    page = stage.open()
    give(stage, file(), file("plan.md", b"# Plan" * 100))
    state(stage, "Ready", "notes.txt")
    state(stage, "Ready", "plan.md")
    page.fill("#text", "Read them")
    page.press("#text", "Enter")
    page.wait_for_selector(".question:has-text('Read them') .files a:has-text('plan.md')")
    ((body, _headers),) = stage.posts(SEND)
    assert body["files"] == ["01F0", "01F1"]
    assert page.locator(".given .file").count() == 0
    assert page.get_attribute(".files a", "href") == "/files/01F0/download/"
    assert desk.announced[0] == {"name": "notes.txt", "size": 5, "type": "text/plain",
                                 "agent": AGENT["id"], "conversation": THREAD}  # fmt: skip
    assert stage.problems == []


def test_files_are_dropped_anywhere_and_the_page_says_where(stage: Stage, desk: Desk) -> None:
    page = stage.open()
    data = dropped(stage, ("a.txt", "one"), ("b.txt", "two"))
    page.dispatch_event("#items", "dragenter", {"dataTransfer": data})
    page.wait_for_selector(".drop:has-text('Drop files to give them to Guide')")
    page.dispatch_event("#items", "drop", {"dataTransfer": data})
    state(stage, "Ready", "a.txt")
    state(stage, "Ready", "b.txt")
    assert page.is_hidden(".drop")
    page.dispatch_event("#items", "dragenter", {"dataTransfer": data})
    page.dispatch_event("#items", "dragleave", {"dataTransfer": data})
    assert page.is_hidden(".drop")


PASTE = """([text, name]) => { const data = new DataTransfer();
    if (name) data.items.add(new File(["x"], name, { type: "image/png" }));
    if (text) data.setData("text/plain", text);
    const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
    const goes = document.getElementById("text").dispatchEvent(event);
    if (goes && text) document.execCommand("insertText", false, text);
}"""
URGENT = "said => document.getElementById('urgent').textContent.includes(said)"


def test_a_name_without_an_ending_is_left_to_the_server(stage: Stage, desk: Desk) -> None:
    page = stage.open()
    give(stage, file("Makefile"))
    state(stage, "Ready", "Makefile")
    page.click("#give")
    stage.page.wait_for_selector("#giving:has-text('Types: .txt .md .png')")


def test_a_picture_is_pasted_under_a_name_of_its_own(stage: Stage, desk: Desk) -> None:
    page = stage.open()
    page.focus("#text")
    page.evaluate(PASTE, ["", "image.png"])
    state(stage, "Ready", "image-")
    assert desk.announced[0]["name"].endswith(".png")
    page.evaluate(PASTE, ["words of a cell", "image.png"])
    assert page.input_value("#text") == "words of a cell", "a cell is meant by its words"
    assert page.locator(".given .file").count() == 1


def test_a_long_paste_offers_to_become_a_file(stage: Stage, desk: Desk) -> None:
    page = stage.open()
    page.fill("#text", "See: ")
    page.focus("#text")
    long = "line of words\n" * 480
    page.evaluate(PASTE, [long, ""])
    page.wait_for_selector("#strip:has-text('Too long to send')")
    page.click("#strip >> text=Make it a file")
    state(stage, "Ready", "text-")
    assert page.input_value("#text") == "See: "
    assert desk.files["01F0"]["bytes"].decode() == long
    assert page.is_hidden("#strip")


def test_an_upload_that_is_cut_at_sixty_percent_goes_on_from_there(stage: Stage, desk: Desk) -> None:
    """R39: nothing that arrived is sent again."""
    page = stage.open()
    desk.cut, desk.cut_at = 2, 6000
    give(stage, file("long.txt", TEN))
    state(stage, "No connection. It goes on by itself.", "long.txt")
    assert page.locator(".given progress").evaluate("e => e.value") == 6000
    page.fill("#text", "writing goes on")
    state(stage, "Ready", "long.txt")
    assert desk.put == list(range(0, 10_000, 1000))
    assert desk.files["01F0"]["bytes"] == TEN
    assert page.input_value("#text") == "writing goes on"


def test_an_upload_is_tried_again_at_once_when_asked(stage: Stage, desk: Desk) -> None:
    page = stage.open()
    desk.cut = 1000
    give(stage, file("long.txt", TEN))
    state(stage, "No connection", "long.txt")
    # By the person's own key: the page tries too, and the button goes with the first byte.
    again = page.get_by_role("button", name="Try again: long.txt")
    again.focus()
    desk.cut = 0
    page.keyboard.press("Enter")
    state(stage, "Ready", "long.txt")


def test_an_upload_goes_on_after_signing_in_again(stage: Stage, desk: Desk) -> None:
    page = stage.open()
    desk.refusal = (401, {"code": "not_signed_in", "message": "You are not signed in any more."})
    give(stage, file())
    page.wait_for_selector("#signin")
    state(stage, "Your session has ended. It goes on when you have signed in.")
    page.fill("#signin-password", "secret")
    page.press("#signin-password", "Enter")
    state(stage, "Ready")
    assert len(desk.announced) == 2


def test_a_full_disk_is_told_and_tried_again_by_hand(stage: Stage, desk: Desk) -> None:
    """R38."""
    page = stage.open()
    full = {"code": "no_room", "message": "The server has no room left.", "next": "Tell your administrator."}
    desk.refusal = (507, full)
    give(stage, file())
    state(stage, "The server has no room left. Tell your administrator.")
    page.get_by_role("button", name="Try again: notes.txt").click()
    state(stage, "Ready")


def test_a_file_that_was_swept_meanwhile_is_told(stage: Stage, desk: Desk) -> None:
    page = stage.open()
    give(stage, file())
    state(stage, "Ready")
    desk.files.clear()
    page.reload()
    state(stage, "It is no longer there.")
    page.get_by_role("button", name="Remove notes.txt").click()
    page.reload()
    page.wait_for_selector("#keys:not(:empty)", state="attached")
    assert page.locator(".given .file").count() == 0


def test_a_draft_left_for_another_conversation_keeps_its_files(stage: Stage, desk: Desk) -> None:
    page = stage.open()
    desk.cut, desk.cut_at = 1000, 6000
    give(stage, file("long.txt", TEN))
    state(stage, "No connection", "long.txt")
    page.click("#new")
    page.wait_for_selector("#empty:not([hidden])")
    assert page.locator(".given .file").count() == 0
    give(stage, file("other.txt"))
    state(stage, "Ready", "other.txt")
    assert desk.announced[-1]["conversation"] is None
    desk.cut = 0
    stage.replies[f"/c/{THREAD}/"] = (200, {"conversation": {"id": THREAD, "title": "A title", "seq": 7},
                                            "items": [], "draft": "", "earlier": False})  # fmt: skip
    page.go_back()
    state(stage, "Ready", "long.txt")
    assert page.locator(".given .file").count() == 1
    assert desk.files["01F0"]["bytes"] == TEN


def test_an_upload_is_cancelled_here_and_there(stage: Stage, desk: Desk) -> None:
    page = stage.open()
    desk.busy = True
    give(stage, file("one.txt"), file("two.txt"))
    state(stage, "Being checked", "one.txt")
    page.get_by_role("button", name="Cancel one.txt").click()
    assert page.locator(".given .file").count() == 1
    page.wait_for_function("() => document.activeElement.ariaLabel === 'Cancel two.txt'")
    page.wait_for_timeout(0)
    assert desk.removed == ["01F0"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (file("virus.exe"), "This agent does not take this type of file. It takes: .txt .md .png"),
        (file("big.txt", b"x" * 30_000), "is too large: at most 20"),
        (file("none.txt", b""), "The file is empty."),
    ],
)
def test_what_is_not_taken_is_refused_by_name_before_it_travels(
    stage: Stage, desk: Desk, given: Any, reason: str
) -> None:
    page = stage.open()
    give(stage, given, file("good.txt"))
    state(stage, reason, given["name"])
    state(stage, "Ready", "good.txt")
    assert [one["name"] for one in desk.announced] == ["good.txt"]
    page.fill("#text", "Go")
    page.press("#text", "Enter")
    page.wait_for_selector(f"#strip:has-text('{given['name']} cannot go along')")
    assert stage.posts(SEND) == []
    page.get_by_role("button", name=f"Remove {given['name']}").click()
    page.press("#text", "Enter")
    page.wait_for_selector(".question:has-text('Go') .files")
    assert stage.posts(SEND)[0][0]["files"] == ["01F0"]


def test_more_files_than_a_message_carries_are_refused_by_name(stage: Stage, desk: Desk) -> None:
    page = stage.open()
    give(stage, *[file(f"{n}.txt", b"x" * (n + 1)) for n in range(4)])
    page.wait_for_selector(".toast:has-text('3.txt was not added: a message carries at most 3 files.')")
    assert page.locator(".given .file").count() == 3


def test_a_full_quota_is_told_in_the_servers_words(stage: Stage, desk: Desk) -> None:
    page = stage.open()
    full = {"code": "quota_full", "message": "Your space is full.", "next": "Remove a file first."}
    desk.refusal = (413, full)
    give(stage, file())
    state(stage, "Your space is full. Remove a file first.")
    page.wait_for_function(URGENT, arg="notes.txt: Your space is full.")
    page.get_by_role("button", name="Remove notes.txt").click()
    give(stage, file())
    state(stage, "Ready")


def test_a_reload_keeps_what_is_there_and_goes_on_with_the_same_file(stage: Stage, desk: Desk) -> None:
    page = stage.open()
    page.on("dialog", lambda dialog: dialog.accept())
    give(stage, file("done.txt"))
    state(stage, "Ready", "done.txt")
    desk.cut, desk.cut_at = 1000, 6000
    give(stage, file("long.txt", TEN))
    state(stage, "No connection", "long.txt")
    desk.cut = 0
    page.reload()
    state(stage, "Ready", "done.txt")
    state(stage, "Not complete. Choose the same file again", "long.txt")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Try again: long.txt").click()
    chooser.value.set_files([file("long.txt", TEN)])
    state(stage, "Ready", "long.txt")
    assert desk.files["01F1"]["bytes"] == TEN
    assert desk.put[-4:] == [6000, 7000, 8000, 9000]


def test_sending_waits_for_what_is_on_its_way_and_says_so(stage: Stage, desk: Desk) -> None:
    page = stage.open()
    desk.busy = True
    give(stage, file())
    state(stage, "Being checked")
    page.fill("#text", "Read")
    page.press("#text", "Enter")
    page.wait_for_selector("#strip:has-text('It is sent as soon as 1 file is there.')")
    page.keyboard.type(" it well")
    assert stage.posts(SEND) == []
    desk.busy = False
    page.wait_for_selector(".question:has-text('Read it well') .files")
    assert stage.posts(SEND)[0][0]["text"] == "Read it well"
    assert page.is_hidden("#strip")


def test_waiting_to_send_is_left_by_escape(stage: Stage, desk: Desk) -> None:
    page = stage.open()
    desk.busy = True
    give(stage, file())
    page.fill("#text", "Read")
    page.press("#text", "Enter")
    page.wait_for_selector("#strip:has-text('It is sent as soon as')")
    page.press("#text", "Escape")
    assert page.is_hidden("#strip")
    desk.busy = False
    state(stage, "Ready")
    assert stage.posts(SEND) == []
    assert page.input_value("#text") == "Read"


def test_files_wait_for_words(stage: Stage, desk: Desk) -> None:
    page = stage.open()
    give(stage, file())
    state(stage, "Ready")
    page.press("#text", "Enter")
    page.wait_for_selector("#strip:has-text('Write a question to go with the files.')")
    assert stage.posts(SEND) == []


def test_where_an_agent_takes_no_files_the_composer_says_so(stage: Stage) -> None:
    why = "This agent takes no files."
    stage.agent = {**AGENT, "files": {**TAKES, "takes": False, "reason": why, "types": None}}
    page = stage.open()
    assert page.inner_text("#takes-none") == why
    data = dropped(stage, ("a.txt", "one"))
    page.dispatch_event("#items", "dragenter", {"dataTransfer": data})
    page.wait_for_selector(f".drop.off:has-text('{why}')")
    page.dispatch_event("#items", "drop", {"dataTransfer": data})
    page.wait_for_selector(f".toast:has-text('{why}')")
    page.click("#give")
    assert page.is_hidden("#choose")
    assert why in page.inner_text("#giving")


def carrying(id: str, text: str) -> dict[str, Any]:
    facts = {"size": 2048, "kind": "text", "gone": False, "download_url": "/files/01OLD/download/"}
    old = {"type": "file", "id": "01OLD", "name": "old.txt", "mime_type": "text/plain", "stkweb": facts}
    gone = {"type": "file", "id": "01GONE", "name": "gone.txt", "mime_type": "text/plain",
            "stkweb": {**facts, "gone": True, "download_url": None}}  # fmt: skip
    return {**question(id, text), "attachments": [old, gone]}


def test_files_are_listed_under_their_message_by_server_and_page_alike(drawn_page: Draw) -> None:
    stage = drawn_page([carrying("Q1", "Why?"), answer("A1", "Because.", "Q1")])
    page = stage.open()
    server = page.inner_text("#m-Q1 .files")
    assert "old.txt" in server and "2\u00a0KB" in server and "no longer there" in server
    assert page.locator("#m-Q1 .files a").count() == 1
    stage.event(type="thread.item.done", item={**carrying("Q1", "Why not?")})
    page.wait_for_selector("#m-Q1:has-text('Why not?')")
    assert page.inner_text("#m-Q1 .files") == server
    assert page.get_attribute("#m-Q1 .files a", "download") is not None


def test_a_question_that_is_written_anew_carries_its_files_on(drawn_page: Draw) -> None:
    stage = drawn_page([carrying("Q1", "Why?"), answer("A1", "Because.", "Q1")])
    stage.replies[SEND] = (202, {"conversation": THREAD, "question": "Q2", "answer": "A2"})
    desk = Desk(stage)
    page = stage.open()
    give(stage, file("draft.txt"))
    state(stage, "Ready", "draft.txt")
    page.hover("#m-Q1")
    page.click("#m-Q1 [data-do=edit]")
    state(stage, "Ready", "old.txt")
    assert page.locator(".given .file").count() == 1, "the draft's own stands aside"
    page.fill("#text", "Why, again?")
    page.press("#text", "Enter")
    state(stage, "Ready", "draft.txt")
    assert stage.posts(SEND)[0][0]["files"] == ["01OLD"]
    assert page.locator(".given .file").count() == 1
    assert desk.removed == []


def test_what_comes_back_unsent_brings_its_files(stage: Stage, desk: Desk) -> None:
    stage.replies[SEND] = (422, {"error": {"code": "file_not_ready", "message": "Not yet.", "next": "Wait."}})
    page = stage.open()
    give(stage, file())
    state(stage, "Ready")
    page.fill("#text", "Read it")
    page.press("#text", "Enter")
    page.wait_for_selector("#strip:has-text('Not yet.')")
    state(stage, "Ready", "notes.txt")
    assert page.input_value("#text") == "Read it"


def test_progress_is_said_at_the_beginning_half_way_and_at_the_end(stage: Stage, desk: Desk) -> None:
    """UX 40."""
    page = stage.open()
    page.evaluate("""() => { window.said = []; new MutationObserver(() => {
        const text = document.getElementById("polite").textContent; if (text) said.push(text);
    }).observe(document.getElementById("polite"), { childList: true }); }""")
    desk.cut, desk.cut_at = 1, 6000
    give(stage, file("long.txt", TEN))
    state(stage, "Ready")
    page.wait_for_function("() => said.includes('1 file is ready')")
    said = page.evaluate("() => said")
    assert len(said) <= 3 and said[-1] == "1 file is ready", said


def test_the_tray_shows_which_agent_has_a_file_and_gives_it_again(stage: Stage, desk: Desk) -> None:
    desk.listed = [TRAYED]
    desk.files["01F0"] = {**TRAYED, "type": "text/plain", "offset": 2048}
    page = stage.open()
    page.click("#more-button")
    page.click("#files-link")
    page.wait_for_selector("#tray .file:has-text('Guide no longer has it.')")
    page.get_by_role("button", name="Give again: plan.txt").click()
    page.wait_for_selector("#tray .file:not(:has-text('no longer'))")
    assert desk.renewed == ["01F0"]
    page.get_by_role("button", name="Delete: plan.txt").click()
    assert desk.removed == []
    desk.listed = []
    page.get_by_role("button", name="Delete for good?").click()
    page.wait_for_selector("#tray-told:has-text('No files yet.')")
    assert desk.removed == ["01F0"]
    assert stage.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_any_state_of_a_file(stage: Stage, desk: Desk, scheme: str) -> None:
    """UX 14."""
    page = stage.open()
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", scheme)
    desk.cut, desk.cut_at = 1000, 6000
    give(stage, file("ready.txt"), file("cut.txt", TEN), file("virus.exe"))
    state(stage, "Ready", "ready.txt")
    state(stage, "No connection", "cut.txt")
    assert violations(page) == []
    page.click("#give")
    assert violations(page) == []
    page.keyboard.press("Escape")
    desk.listed = [TRAYED, {**TRAYED, "id": "01F9", "state": "refused", "message": "A virus was found."}]
    page.click("#more-button")
    page.click("#files-link")
    page.wait_for_selector("#tray .file")
    assert violations(page) == []
