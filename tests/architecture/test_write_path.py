"""There is one way to write to the plant: the guard makes requests, one place gives them out."""

import ast


def calls(package, name):
    """Where ``name(...)`` or ``anything.name(...)`` is called, as path:line."""
    return [
        f"{source.name}:{call.lineno}"
        for source in package
        for call in source.nodes(ast.Call)
        if name in (getattr(call.func, "id", None), getattr(call.func, "attr", None))
    ]


def makes(package, name):
    """Where ``name(...)`` is called, or the class given to another that could: ``new(name, …)``."""
    given = [
        f"{source.name}:{call.lineno}"
        for source in package
        for call in source.nodes(ast.Call)
        if name in {getattr(each, "id", None) for each in call.args}
        and getattr(call.func, "id", None) != "isinstance"
    ]
    return [*calls(package, name), *given]


def test_only_the_guard_makes_write_requests(package):
    # The codec makes again what a recording holds; a replay gives nothing to a driver.
    makers = {place.partition(":")[0] for place in makes(package, "WriteRequest")}
    assert makers <= {"edgetwin/core/guard.py", "edgetwin/core/codec.py"}
    assert "edgetwin/core/guard.py" in makers


def test_one_place_gives_writes_to_a_driver(package):
    # Within a driver a call may hand on to one of its parts.
    outside = [source for source in package if not source.name.startswith("edgetwin/devices/")]
    for way in ("start_write", "start_array"):
        places = calls(outside, way)
        assert len(places) == 1, f"{way} is called at {places}"
        assert places[0].startswith("edgetwin/runtime/guarded.py")
