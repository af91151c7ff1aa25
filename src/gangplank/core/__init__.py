"""The framework-neutral core: from metric dicts and weight arrays to pages that a sink delivers.

The path of a value, file by file: `run` -> `plugins` -> `exporter` -> `latest` -> `outbox` -> `page` -> `sinks`.
"""
