"""The Asset Administration Shell, read and verified by aas-core, which is generated from the
metamodel's formal specification and checks all of its constraints."""

import aas_core3.jsonization as aas_json
import aas_core3.verification as aas_rules
import pytest

from edgetwin.core.export.aas import environment


def errors(told):
    read = aas_json.environment_from_jsonable(told)
    return [f"{each.path}: {each.cause}" for each in aas_rules.verify(read)]


def test_environment_keeps_the_metamodel(plan):
    assert errors(environment(plan)) == []


def test_what_is_wrong_is_found(plan):
    told = environment(plan)
    told["submodels"][0]["idShort"] = "9 lives"
    assert errors(told) != []
    told["submodels"][0]["kind"] = "Kind"
    with pytest.raises(aas_json.DeserializationException):
        errors(told)


def test_every_tag_is_a_property_and_comes_back_unchanged(plan):
    told = environment(plan)
    again = aas_json.to_jsonable(aas_json.environment_from_jsonable(told))
    assert again == told
    properties = [p for c in told["submodels"][0]["submodelElements"] for p in c["value"]]
    named = [p["embeddedDataSpecifications"][0]["dataSpecificationContent"] for p in properties]
    assert {n["preferredName"][0]["text"] for n in named} == {tag.name for tag in plan.tags}


def test_levels_of_the_plant_are_ids_of_the_asset(plan):
    ids = environment(plan)["assetAdministrationShells"][0]["assetInformation"]
    told = {each["name"]: each["value"] for each in ids.get("specificAssetIds", [])}
    assert told == plan.hierarchy
