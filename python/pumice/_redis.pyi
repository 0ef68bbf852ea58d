from typing import Any

import redis as redis_py

from ._native import Engine, Namespace

def redis(engine: Engine, namespace: Namespace | str | bytes | None = None, **options: Any) -> redis_py.Redis:
    """A genuine `redis.Redis` whose commands run in this process, on a namespace of `engine`. Needs redis-py."""
