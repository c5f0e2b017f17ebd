"""From a YAML file to a validated study: read and merge, validate, expand."""

from mad_ray.config.expand import expand
from mad_ray.config.load import load_config
from mad_ray.config.model import Config, RunSettings, StudySettings, parse_config
from mad_ray.config.schema import json_schema

__all__ = ["Config", "RunSettings", "StudySettings", "expand", "json_schema", "load_config", "parse_config"]
