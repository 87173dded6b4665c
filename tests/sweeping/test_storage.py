from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping.postgres import PASSWORD, USER, server
from workflow.errors import InputError
from workflow.sweeping import worker
from workflow.sweeping.ending import write_record
from workflow.sweeping.plan import Plan
from workflow.sweeping.storage import check_storage, dashboard, faults_told, open_storage
from workflow.sweeping.study import Study, counts

Planned = Callable[..., Plan]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with server() as number:
        yield number


@pytest.fixture
def url(port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    return f"postgresql://{USER}@127.0.0.1:{port}/postgres"


def test_postgresql_holds_a_study_of_several_workers(url: str, planned: Planned, trials: Any) -> None:
    plan = planned(storage=url, trials=8)
    threads = [threading.Thread(target=worker.work, args=(plan,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    study = Study(plan)
    assert sum(map(counts, study.trials)) == 8 == len(trials.started)
    write_record(study, None, [], None)
    assert not (plan.folder / "study.db").exists()
    written = [path.read_bytes() for path in plan.folder.rglob("*") if path.is_file()]
    assert written and not any(PASSWORD.encode() in content for content in written)


def test_another_folder_with_the_same_study_in_the_same_server(url: str, planned: Planned, trials: Any) -> None:
    plan = planned(storage=url, trials=1, name="shared")
    worker.work(plan)
    plan.folder.rename(plan.folder.with_name("elsewhere"))
    with pytest.raises(InputError, match=r"^sweep\.storage has a study shared that is not the one of"):
        Study(plan)


def test_wrong_password(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "wrong")
    with pytest.raises(InputError, match=r"^sweep\.storage: postgresql.* cannot be used .*password auth") as caught:
        open_storage(url, tmp_path)
    assert "\n" not in str(caught.value) and "wrong" not in str(caught.value)


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be used .*: see that it runs") as caught:
        open_storage("postgresql://me@127.0.0.1:1/db", tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["postgresql://me:geheim@host/db", "postgresql://host/db?password=geheim"])
def test_a_password_in_the_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InputError, match=r"^sweep\.storage holds a password") as caught:
        check_storage(url)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://me@host/db", "postgresql://me@host", "somewhere", "sqlite:///x.db", ""])
def test_other_storages_are_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"is no storage: use null"):
        check_storage(url)


def test_a_journal_holds_a_study(planned: Planned, trials: Any) -> None:
    plan = planned(storage="journal", trials=4)
    worker.work(plan)
    assert sum(map(counts, Study(plan).trials)) == 4
    assert (plan.folder / "study.journal").exists() and not (plan.folder / "study.db").exists()


def test_a_storage_that_breaks_is_told_in_one_line(planned: Planned, trials: Any) -> None:
    plan = planned(trials=2)

    def losses(settings: Any) -> dict[int, float]:
        (plan.folder / "study.db").write_bytes(b"no database" * 1000)
        return {10: 1.0}

    trials.losses = losses
    with pytest.raises(InputError, match=r"^sweep\.storage: the study\.db of") as caught, faults_told(None):
        worker.work(plan)
    assert "\n" not in str(caught.value)


def test_lines_that_open_the_dashboard() -> None:
    folder = Path("runs/x")
    assert dashboard(None, folder) == "optuna-dashboard sqlite:///runs/x/study.db"
    assert dashboard("journal", folder) == "optuna-dashboard runs/x/study.journal"
    assert dashboard("postgresql://me@host/db", folder) == "optuna-dashboard postgresql+psycopg2://me@host/db"
    assert "PGPASSWORD" not in os.environ or os.environ["PGPASSWORD"] not in dashboard("journal", folder)
