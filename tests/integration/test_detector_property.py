"""The kept list over a real database, held against the slow oracle on random platforms.

REDRIVE_PROPERTY_SEED and REDRIVE_PROPERTY_EXAMPLES look further than CI does; a failing run prints its seed.
"""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text

from backend.content.detector import detect
from backend.content.facts import Limits
from backend.content.keys import ContentKey, ContentKind, Owner, OwnerKind
from backend.content.problems import ProblemKind
from backend.redrive import Redrive
from backend.storage import problems as kept
from backend.storage.facts import load_facts
from backend.storage.ops_tables import problems
from tests.oracle import expected_problems
from tests.random_platforms import NOW, Platform, advance_items, after_changes, clear, platforms, write, write_changes

LIMITS = Limits(grace_seconds=900, silence_seconds=300)
SEED = int(os.environ.get("REDRIVE_PROPERTY_SEED", "20261122"))
EXAMPLES = int(os.environ.get("REDRIVE_PROPERTY_EXAMPLES", "40"))
