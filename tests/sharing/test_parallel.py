"""Many readers at the same moment: none more than the owner said gets in, and all are counted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.real_server import Server, wait_for
from tests.sharing.pages import Owner

pytestmark = pytest.mark.server

ASKED = {"Accept-Encoding": "gzip"}


@pytest.mark.parametrize("openings", [5, None])
def test_parallel_openings_are_counted_exactly(openings: int | None, shared_server: Server) -> None:
    owner = Owner(shared_server, "alice")
    thread = owner.answered("/fast /echo First answer")
    address = owner.share(thread, **({"openings": str(openings)} if openings else {}))
    with ThreadPoolExecutor(16) as readers:
        answers = list(readers.map(lambda _: requests.get(address, headers=ASKED, timeout=60), range(32)))
    wanted = openings or 32
    assert sorted(answer.status_code for answer in answers) == [200] * wanted + [404] * (32 - wanted)
    counted = (
        "SELECT s.openings, (SELECT count(*) FROM chat_shareopening o WHERE o.share_id = s.id)"
        " FROM chat_share s WHERE s.id = (SELECT max(id) FROM chat_share)"
    )
    wait_for(lambda: shared_server.rows(counted) == [(wanted, wanted)], 20, "all openings are written")
