"""Validators of our own schemas, one for each kind of message."""

import pytest
from jsonschema import Draft202012Validator

from edgetwin.core.contract.kinds import MESSAGES
from edgetwin.core.contract.schema import schema


@pytest.fixture(scope="session")
def validators():
    return {suffix: Draft202012Validator(schema(of)) for suffix, of in MESSAGES.items()}
