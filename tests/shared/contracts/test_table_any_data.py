"""For any valid table nothing is found; for any single planted fault exactly that row, column and rule is."""

import datetime
import math

import polars as pl
import pytest
from conftest import contract_document
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.contract import parse
from shared.contracts.frame_schema import frame_schema
from shared.contracts.table import check_table
