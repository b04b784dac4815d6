"""Every kind of event, in one sentence: what it says, and the facts that programs can read."""

from collections.abc import Mapping

from edgetwin.core.event import EventKind

MEANINGS: Mapping[EventKind, str] = {
    EventKind.DEVICE_LOST: "a device does not answer any more; its tags are bad",
    EventKind.DEVICE_BACK: "it answers again",
    EventKind.OVERRUN: "a scan does not keep up, and some were left out: `scan`, `tags`, `due`, "
    "`skipped`, `thinned`",
    EventKind.OVERRUN_OVER: "it keeps up again: the same",
    EventKind.TAG_BAD: "tags of a device went bad together: `quality`, `tags` (how many)",
    EventKind.TAG_GOOD: "tags of a device are good again: `quality`, `tags` (how many)",
    EventKind.LOOP_MODE: "a control loop changed its mode: `by`, `mode`",
    EventKind.LOOP_FAULT: "a loop can no longer trust its input and went to its fail-safe: `mode`",
    EventKind.LOOP_BACK: "its input is good again: `mode`",
    EventKind.WRITTEN: "a value was written: `by`, `authority`, `value`; a loop's writes once a "
    "minute, with `count`, `min` and `max`",
    EventKind.WRITE_REFUSED: "a write was not let through, and nothing was sent: `reason`",
    EventKind.WRITE_FAILED: "a write was sent and did not arrive, or reads back otherwise: `tag`",
    EventKind.LEARNED: "a detector has learned what is normal: `rows`, `sha256` of its model",
    EventKind.MODEL_UNAVAILABLE: "an asset is not watched: `reason`",
    EventKind.ANOMALY: "an asset does not behave as it did: `score`, `limit`, and the share that "
    "each tag has in it, by its name",
    EventKind.ANOMALY_CLEARED: "it behaves as it did again: `duration_s`, `peak`",
    EventKind.ALARM: "an alarm is on, and nobody has acknowledged it: `tag`, `state`, `before`, "
    "`value`, `limit`, `priority` (1 is the highest), `advice`",
    EventKind.ALARM_STATE: "any other change of an alarm: the same; `by` where a person did it",
    EventKind.REQUEST: "what became of a request from the cloud: `request`, `by`, `state`, "
    "`reason`, and what was asked",
    EventKind.CHALLENGER: "how the fleet's idea of normal and the gateway's own detector agreed "
    "about an asset, told now and then: of its `windows` `both`, `challenger` (only the fleet's), "
    "`detector` (only its own) or `neither` found it not normal; `tag` (most often outside), "
    "`assets` (how many machines speak in the ranges), `made` (UTC ms, of the ranges)",
    EventKind.GAP: "frames or records are missing",
    EventKind.STARTED: "the gateway has started",
    EventKind.STOPPED: "the gateway stops",
}
