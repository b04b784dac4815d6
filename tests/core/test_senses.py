import math

import numpy as np
import pytest

from edgetwin.core.laws.pid import Pid
from edgetwin.core.plan import Fail, LoopPlan, Mode
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.core.senses import START_PATIENCE, Outputs, Senses
from edgetwin.core.tags import Tag, TagTable
from edgetwin.core.twin import Twin

SECOND = 1_000_000_000


def plan(own=(3, 4, 5), *, sp=2, sp_is_tag=True):
    return LoopPlan(
        name="pressure",
        law=Pid(1.0),
        pv=0,
        sp=sp,
        sp_is_tag=sp_is_tag,
        mv=1,
        every=SECOND,
        mode=Mode.AUTO,
        on_fault=Fail(),
        on_stop=Fail(),
        permissives=(),
        sp_tag=own[0],
        out_tag=own[1],
        mode_tag=own[2],
    )


def twin():
    return Twin(TagTable(tuple(Tag(i, f"skid/t{i}") for i in range(6))))


def test_all_that_a_loop_needs_is_looked_at():
    table = twin()
    table.apply(ReadingBatch(slice(0, 3), np.array([1.0, 2.0, 3.0])), Instant(0, 0))
    senses = Senses(plan(), table.tags)
    assert senses.trouble(table, Instant(1, 1)) is None
    table.spoil([2], Quality.NO_COMMUNICATION)
    assert senses.trouble(table, Instant(1, 1)).text == "skid/t2 is bad: no communication"


def test_tag_never_read_may_wait_only_for_a_while():
    table = twin()
    senses = Senses(plan(), table.tags)
    assert senses.trouble(table, Instant(7, 7)).may_wait
    assert senses.trouble(table, Instant(7 + START_PATIENCE, 0)).may_wait
    assert not senses.trouble(table, Instant(8 + START_PATIENCE, 0)).may_wait


def test_setpoint_that_is_a_number_holds_even_in_doubt_and_one_from_a_tag_does_not():
    for outputs, quality in (
        (Outputs(plan(sp=4.2, sp_is_tag=False)), Quality.GOOD),
        (Outputs(plan()), Quality.BAD),
    ):
        outputs.sp, outputs.out = outputs.sp, 7.0
        outputs.doubt()
        batch = outputs.batch(12.0, Instant(0, 5))
        assert batch.quality.tolist() == [quality, Quality.BAD, Quality.GOOD]
        assert math.isnan(batch.values[1])


@pytest.mark.parametrize(("own", "kind"), [((3, 4, 5), slice), ((5, 3, 4), np.ndarray)])
def test_own_tags_may_stand_anywhere_in_the_twin(own, kind):
    table, outputs = twin(), Outputs(plan(own, sp=4.2, sp_is_tag=False))
    outputs.out = 7.0
    batch = outputs.batch(2.0, Instant(0, 5))
    assert isinstance(batch.tags, kind)
    table.apply(batch, Instant(0, 5))
    assert [table.value.item(tag) for tag in own] == [4.2, 7.0, 2.0]
