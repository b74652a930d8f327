"""The backup that is taken before a deploy is restored into an empty database and compared with what it was taken of."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.criterion("backup")


def test_a_backup_restores_to_an_equal_database(rehearsal, evidence):
    evidence.add(None, rehearsal.stage.back_up())
