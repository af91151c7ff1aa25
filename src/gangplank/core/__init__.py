"""The framework-neutral core: from metric dicts and weight arrays to pages that a sink delivers.

The path of a datum, a file a step: `run` -> `plugins` -> `exporter` -> `ledger` -> `outbox` -> `page` -> `sinks`.
"""
