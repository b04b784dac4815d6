"""Every assertion of Sparkplug 3.0 that names an edge node or a message of one, by its id.

An id has checks over the recorded stories, or the reason why there is none. Ids of templates and
data sets are not listed one by one: edgetwin sends neither, and ``nothing_fancy`` holds that.
"""

from dataclasses import dataclass

import spb_checks as c
from spb_story import GROUP, NODE

V5, V311 = "with_a_primary_host", "without_a_primary_host"
BOTH = (V5, V311)


@dataclass(frozen=True)
class Held:
    """Checks that hold an assertion, and in which stories."""

    checks: tuple
    stories: tuple = BOTH


@dataclass(frozen=True)
class Why:
    """Why an assertion is not checked. ``whose`` duty it is."""

    whose: str
    reason: str


def held(*checks):
    return Held(checks)


def in_v5(*checks):
    return Held(checks, (V5,))


def in_v311(*checks):
    return Held(checks, (V311,))


UNIQUE = Why("operator", "one gateway cannot see the ids that others have")
HOST = Why("host", "binds who sends the command; our own host in the checker keeps it")
NCMD, DCMD = f"spBv1.0/{GROUP}/NCMD/{NODE}", f"spBv1.0/{GROUP}/DCMD/{NODE}/skid"

ASSERTIONS = {
    # 1, 2: identifiers, principles
    "intro-group-id-string": held(c.ids_in_topics),
    "intro-group-id-chars": held(c.ids_in_topics),
    "intro-edge-node-id-string": held(c.ids_in_topics),
    "intro-edge-node-id-chars": held(c.ids_in_topics),
    "intro-device-id-string": held(c.ids_in_topics),
    "intro-device-id-chars": held(c.ids_in_topics),
    "intro-edge-node-id-uniqueness": UNIQUE,
    "principles-rbe-recommended": held(c.only_changes("DDATA"), c.only_changes("NDATA")),
    "principles-birth-certificates-order": held(c.births_first),
    "principles-persistence-clean-session-311": in_v311(c.clean(4)),
    "principles-persistence-clean-session-50": in_v5(c.clean(5)),
    # 4: topics
    "topic-structure": held(c.ids_in_topics),
    "topic-structure-namespace-a": held(c.ids_in_topics),
    "topic-structure-namespace-valid-group-id": held(c.ids_in_topics),
    "topic-structure-namespace-unique-edge-node-descriptor": UNIQUE,
    "topic-structure-namespace-valid-edge-node-id": held(c.ids_in_topics),
    "topic-structure-namespace-valid-device-id": held(c.ids_in_topics),
    "topic-structure-namespace-unique-device-id": held(c.ids_by_case),
    "topic-structure-namespace-duplicate-device-id-across-edge-node": Why(
        "nobody", "a MAY about other edge nodes: nothing to hold"
    ),
    "topic-structure-namespace-device-id-associated-message-types": held(c.ids_in_topics),
    "topic-structure-namespace-device-id-non-associated-message-types": held(c.ids_in_topics),
    "topics-nbirth-topic": held(c.topic("NBIRTH")),
    "topics-nbirth-mqtt": held(c.plain("NBIRTH")),
    "topics-nbirth-seq-num": held(c.nbirth_is_0),
    "topics-nbirth-timestamp": held(c.stamped("NBIRTH")),
    "topics-nbirth-metric-reqs": held(c.complete("NBIRTH", "NDATA")),
    "topics-nbirth-metrics": held(c.definitions("NBIRTH")),
    "topics-nbirth-templates": held(c.nothing_fancy),
    "topics-nbirth-bdseq-included": held(c.bd_seq_in_births),
    "topics-nbirth-bdseq-matching": held(c.bd_seq_in_births),
    "topics-nbirth-bdseq-increment": held(c.bd_seq_increments),
    "topics-nbirth-rebirth-metric": held(c.rebirth_metric),
    "topics-ndata-topic": held(c.topic("NDATA")),
    "topics-ndata-mqtt": held(c.plain("NDATA")),
    "topics-ndata-seq-num": held(c.numbered("NDATA")),
    "topics-ndata-timestamp": held(c.stamped("NDATA")),
    "topics-ndata-payload": held(c.complete("NBIRTH", "NDATA"), c.only_changes("NDATA")),
    "topics-ndeath-topic": held(c.topic("NDEATH"), c.has_will),
    "topics-ndeath-payload": held(c.will_says_bd_seq, c.death_says_bd_seq),
    "topics-ndeath-seq": held(c.no_seq("NDEATH")),
    "topics-ncmd-topic": held(c.subscribed(NCMD)),
    "topics-ncmd-mqtt": HOST,
    "topics-ncmd-timestamp": HOST,
    "topics-ncmd-payload": HOST,
    "topics-dbirth-topic": held(c.topic("DBIRTH")),
    "topics-dbirth-mqtt": held(c.plain("DBIRTH")),
    "topics-dbirth-seq": held(c.numbered("DBIRTH")),
    "topics-dbirth-timestamp": held(c.stamped("DBIRTH")),
    "topics-dbirth-metric-reqs": held(c.complete("DBIRTH", "DDATA")),
    "topics-dbirth-metrics": held(c.definitions("DBIRTH")),
    "topics-ddata-topic": held(c.topic("DDATA")),
    "topics-ddata-mqtt": held(c.plain("DDATA")),
    "topics-ddata-seq-num": held(c.numbered("DDATA")),
    "topics-ddata-timestamp": held(c.stamped("DDATA")),
    "topics-ddata-payload": held(c.complete("DBIRTH", "DDATA"), c.only_changes("DDATA")),
    "topics-ddeath-topic": in_v5(c.topic("DDEATH")),
    "topics-ddeath-mqtt": in_v5(c.plain("DDEATH")),
    "topics-ddeath-seq-num": in_v5(c.numbered("DDEATH")),
    "topics-dcmd-topic": held(c.subscribed(DCMD)),
    "topics-dcmd-mqtt": HOST,
    "topics-dcmd-timestamp": HOST,
    "topics-dcmd-payload": HOST,
    # 5: behaviour
    "case-sensitivity-sparkplug-ids": held(c.ids_by_case),
    "case-sensitivity-metric-names": held(c.names_by_case),
    "message-flow-edge-node-ncmd-subscribe": held(c.subscribed(NCMD)),
    "message-flow-edge-node-birth-publish-connect": held(c.connected_first),
    "message-flow-edge-node-birth-publish-will-message": held(c.has_will),
    "message-flow-edge-node-birth-publish-will-message-topic": held(c.has_will),
    "message-flow-edge-node-birth-publish-will-message-payload": held(c.will_says_bd_seq),
    "message-flow-edge-node-birth-publish-will-message-payload-bdSeq": held(c.will_says_bd_seq),
    "message-flow-edge-node-birth-publish-will-message-qos": held(c.will_qos_1),
    "message-flow-edge-node-birth-publish-will-message-will-retained": held(c.will_not_retained),
    "message-flow-edge-node-birth-publish-phid-wait": in_v5(c.waited),
    "message-flow-edge-node-birth-publish-phid-wait-id": in_v5(c.waited_for_its_own),
    "message-flow-edge-node-birth-publish-phid-wait-online": in_v5(c.waited_for_its_own),
    "message-flow-edge-node-birth-publish-phid-wait-timestamp": in_v5(c.stayed, c.waited),
    "message-flow-edge-node-birth-publish-nbirth-topic": held(c.topic("NBIRTH")),
    "message-flow-edge-node-birth-publish-nbirth-payload": held(c.definitions("NBIRTH")),
    "message-flow-edge-node-birth-publish-nbirth-payload-bdSeq": held(c.bd_seq_in_births),
    "message-flow-edge-node-birth-publish-nbirth-qos": held(c.qos_0("NBIRTH")),
    "message-flow-edge-node-birth-publish-nbirth-retained": held(c.not_retained("NBIRTH")),
    "message-flow-edge-node-birth-publish-nbirth-payload-seq": held(c.nbirth_is_0),
    "message-flow-edge-node-birth-publish-phid-offline": in_v5(c.left_with_the_host),
    "message-flow-device-dcmd-subscribe": held(c.subscribed(DCMD)),
    "message-flow-device-birth-publish-nbirth-wait": held(c.device_after_node),
    "message-flow-device-birth-publish-dbirth-topic": held(c.topic("DBIRTH")),
    "message-flow-device-birth-publish-dbirth-match-edge-node-topic": held(c.topic(*c.BIRTHS)),
    "message-flow-device-birth-publish-dbirth-payload": held(c.definitions("DBIRTH")),
    "message-flow-device-birth-publish-dbirth-qos": held(c.qos_0("DBIRTH")),
    "message-flow-device-birth-publish-dbirth-retained": held(c.not_retained("DBIRTH")),
    "message-flow-device-birth-publish-dbirth-payload-seq": held(c.numbered("DBIRTH")),
    "operational-behavior-edge-node-intentional-disconnect-ndeath": held(c.left_with_a_death),
    "operational-behavior-edge-node-intentional-disconnect-packet": held(c.left_with_a_death),
    "operational-behavior-edge-node-termination-host-offline": in_v5(c.left_with_the_host),
    "operational-behavior-edge-node-termination-host-offline-reconnect": in_v5(
        c.left_with_the_host
    ),
    "operational-behavior-edge-node-termination-host-offline-timestamp": in_v5(c.stayed),
    "operational-behavior-edge-node-birth-sequence-wait": in_v5(c.waited),
    "operational-behavior-device-ddeath": in_v5(c.device_died),
    "operational-behavior-primary-application-state-with-multiple-servers-single-server": held(
        c.one_line
    ),
    "operational-behavior-primary-application-state-with-multiple-servers-state-subs": in_v5(
        c.subscribed("spBv1.0/STATE/scada")
    ),
    "operational-behavior-primary-application-state-with-multiple-servers-walk": Why(
        "not built", "an upstream has one broker: it leaves, connects to that one again and waits"
    ),
    "operational-behavior-data-publish-nbirth": held(c.complete("NBIRTH", "NDATA")),
    "operational-behavior-data-publish-nbirth-values": held(c.definitions("NBIRTH")),
    "operational-behavior-data-publish-nbirth-change": held(c.only_changes("NDATA")),
    "operational-behavior-data-publish-nbirth-order": held(c.in_order_of_time),
    "operational-behavior-data-publish-dbirth": held(c.complete("DBIRTH", "DDATA")),
    "operational-behavior-data-publish-dbirth-values": held(c.definitions("DBIRTH")),
    "operational-behavior-data-publish-dbirth-change": held(c.only_changes("DDATA")),
    "operational-behavior-data-publish-dbirth-order": held(c.in_order_of_time),
    "operational-behavior-data-commands-rebirth-name": held(c.rebirth_metric),
    "operational-behavior-data-commands-rebirth-name-aliases": held(c.rebirth_without_alias),
    "operational-behavior-data-commands-rebirth-datatype": held(c.rebirth_metric),
    "operational-behavior-data-commands-rebirth-value": held(c.rebirth_metric),
    "operational-behavior-data-commands-ncmd-rebirth-verb": HOST,
    "operational-behavior-data-commands-ncmd-rebirth-name": HOST,
    "operational-behavior-data-commands-ncmd-rebirth-value": HOST,
    "operational-behavior-data-commands-rebirth-action-1": in_v5(c.reborn),
    "operational-behavior-data-commands-rebirth-action-2": in_v5(c.reborn),
    "operational-behavior-data-commands-rebirth-action-3": in_v5(c.reborn, c.bd_seq_in_births),
    "operational-behavior-data-commands-ncmd-verb": HOST,
    "operational-behavior-data-commands-ncmd-metric-name": HOST,
    "operational-behavior-data-commands-ncmd-metric-value": HOST,
    "operational-behavior-data-commands-dcmd-verb": HOST,
    "operational-behavior-data-commands-dcmd-metric-name": HOST,
    "operational-behavior-data-commands-dcmd-metric-value": HOST,
    # 6: payloads
    "payloads-timestamp-in-UTC": held(c.stamped(*c.NUMBERED)),
    "payloads-sequence-num-always-included": held(c.numbered(*c.NUMBERED), c.no_seq("NDEATH")),
    "payloads-sequence-num-req-nbirth": held(c.nbirth_is_0),
    "payloads-sequence-num-incrementing": held(c.wraps),
    "payloads-name-requirement": held(c.names_with_aliases, c.aliases_alone),
    "payloads-alias-uniqueness": held(c.unique_aliases),
    "payloads-alias-birth-requirement": held(c.names_with_aliases),
    "payloads-alias-data-cmd-requirement": held(c.aliases_alone),
    "payloads-name-birth-data-requirement": held(c.metric_times),
    "payloads-name-cmd-requirement": HOST,
    "payloads-metric-timestamp-in-UTC": held(c.metric_times),
    "payloads-metric-datatype-value-type": held(c.datatypes_known),
    "payloads-metric-datatype-value": held(c.datatypes_known),
    "payloads-metric-datatype-req": held(c.definitions(*c.BIRTHS)),
    "payloads-metric-datatype-not-req": held(c.no_datatype_in_data),
    "payloads-propertyset-keys-array-size": held(c.properties_pair),
    "payloads-propertyset-values-array-size": held(c.properties_pair),
    "payloads-metric-propertyvalue-type-type": held(c.property_types),
    "payloads-metric-propertyvalue-type-value": held(c.property_types),
    "payloads-metric-propertyvalue-type-req": held(c.property_types),
    "payloads-propertyset-quality-value-type": held(c.qualities),
    "payloads-propertyset-quality-value-value": held(c.qualities),
    "payloads-nbirth-timestamp": held(c.stamped("NBIRTH")),
    "payloads-nbirth-edge-node-descriptor": UNIQUE,
    "payloads-nbirth-seq": held(c.nbirth_is_0),
    "payloads-nbirth-bdseq": held(c.bd_seq_in_births),
    "payloads-nbirth-bdseq-repeat": held(c.bd_seq_in_births),
    "payloads-nbirth-rebirth-req": held(c.rebirth_metric),
    "payloads-nbirth-qos": held(c.qos_0("NBIRTH")),
    "payloads-nbirth-retain": held(c.not_retained("NBIRTH")),
    "payloads-dbirth-timestamp": held(c.stamped("DBIRTH")),
    "payloads-dbirth-seq": held(c.numbered("DBIRTH")),
    "payloads-dbirth-seq-inc": held(c.numbered("DBIRTH"), c.wraps),
    "payloads-dbirth-order": held(c.devices_before_data),
    "payloads-dbirth-qos": held(c.qos_0("DBIRTH")),
    "payloads-dbirth-retain": held(c.not_retained("DBIRTH")),
    "payloads-ndata-timestamp": held(c.stamped("NDATA")),
    "payloads-ndata-seq": held(c.numbered("NDATA")),
    "payloads-ndata-seq-inc": held(c.numbered("NDATA"), c.wraps),
    "payloads-ndata-order": held(c.devices_before_data),
    "payloads-ndata-qos": held(c.qos_0("NDATA")),
    "payloads-ndata-retain": held(c.not_retained("NDATA")),
    "payloads-ddata-timestamp": held(c.stamped("DDATA")),
    "payloads-ddata-seq": held(c.numbered("DDATA")),
    "payloads-ddata-seq-inc": held(c.numbered("DDATA"), c.wraps),
    "payloads-ddata-order": held(c.devices_before_data, c.data_only_of_the_living),
    "payloads-ddata-qos": held(c.qos_0("DDATA")),
    "payloads-ddata-retain": held(c.not_retained("DDATA")),
    "payloads-ncmd-timestamp": HOST,
    "payloads-ncmd-seq": HOST,
    "payloads-ncmd-qos": HOST,
    "payloads-ncmd-retain": HOST,
    "payloads-dcmd-timestamp": HOST,
    "payloads-dcmd-seq": HOST,
    "payloads-dcmd-qos": HOST,
    "payloads-dcmd-retain": HOST,
    "payloads-ndeath-seq": held(c.no_seq("NDEATH")),
    "payloads-ndeath-will-message": held(c.has_will),
    "payloads-ndeath-will-message-qos": held(c.will_qos_1),
    "payloads-ndeath-will-message-retain": held(c.will_not_retained),
    "payloads-ndeath-bdseq": held(c.bd_seq_in_births, c.death_says_bd_seq),
    "payloads-ndeath-will-message-publisher": held(c.left_with_a_death),
    "payloads-ndeath-will-message-publisher-disconnect-mqtt311": in_v311(c.left_in_order(4)),
    "payloads-ndeath-will-message-publisher-disconnect-mqtt50": in_v5(c.left_in_order(5)),
    "payloads-ddeath-timestamp": in_v5(c.stamped("DDEATH")),
    "payloads-ddeath-seq": in_v5(c.numbered("DDEATH")),
    "payloads-ddeath-seq-inc": in_v5(c.numbered("DDEATH"), c.wraps),
    "payloads-ddeath-seq-number": in_v5(c.numbered("DDEATH")),
}


def verdict(wanted, stories):
    """``pass``, the failure, or why there is no check."""
    if isinstance(wanted, Why):
        return f"{wanted.whose}: {wanted.reason}"
    for name in wanted.stories:
        for check in wanted.checks:
            try:
                check(stories[name])
            except (AssertionError, IndexError, KeyError, StopIteration) as failed:
                return f"FAILS in {name}: {failed!r:.300}"
    return "pass"


def rows(stories):
    return {f"tck-id-{name}": verdict(wanted, stories) for name, wanted in ASSERTIONS.items()}


def table(found):
    """The rows as markdown."""
    lines = ["| assertion | edgetwin |", "|---|---|"]
    lines += [f"| `{name}` | {what} |" for name, what in found.items()]
    return "\n".join(lines)


def expected():
    """What the documents show: every check passes."""
    return {
        f"tck-id-{name}": "pass" if isinstance(each, Held) else f"{each.whose}: {each.reason}"
        for name, each in ASSERTIONS.items()
    }
