"""Every contract that is shipped is a valid ODCS v3.1.0 document and says what a reader needs."""

import json

import jsonschema
import pytest
import yaml
from open_data_contract_standard.model import OpenDataContractStandard

from shared.contracts.contract import CONTRACTS_FOLDER, SUFFIX, available, load
from shared.contracts.properties import Property

NAMES = available()
SCHEMA = json.loads(OpenDataContractStandard.json_schema())


def test_contracts_are_found():
    assert {"credit_applications", "credit_decisions"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_file_is_valid_for_the_official_model_and_json_schema(name):
    path = CONTRACTS_FOLDER / f"{name}{SUFFIX}"
    OpenDataContractStandard.from_file(str(path))
    jsonschema.validate(yaml.safe_load(path.read_text()), SCHEMA)


@pytest.mark.parametrize("name", NAMES)
def test_file_name_is_the_contract_name(name):
    assert load(name).name == name


@pytest.mark.parametrize("name", NAMES)
def test_every_column_is_described_and_every_number_has_a_unit(name):
    contract = load(name)
    assert contract.purpose
    assert contract.limitations
    assert contract.usage
    for prop in contract.properties:
        assert prop.description, prop.name
        assert prop.unit or prop.logical_type not in ("number", "integer", "array"), prop.name


@pytest.mark.parametrize("name", NAMES)
def test_exported_and_extended_contracts_stay_valid_documents(name, tmp_path):
    contract = load(name)
    if contract.open_columns:
        own = Property(name="Umsatz Ä", logical_type="number", unit="EUR", minimum=0, special_codes=(-9,))
        kind = Property(name="kind", logical_type="string", valid_values=("yes", "no"), pattern="^[a-z]+$")
        contract = contract.extended([own, kind], suffix="my_lender")
    text = contract.to_odcs().to_yaml()
    jsonschema.validate(yaml.safe_load(text), SCHEMA)
    path = tmp_path / "again.odcs.yaml"
    path.write_text(text, encoding="utf-8")
    assert load(path).properties == contract.properties
    assert load(path).id_version == contract.id_version
