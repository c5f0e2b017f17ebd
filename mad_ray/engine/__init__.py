"""The loop engine: advance one generation, run to the end; in process or through any other Runtime."""
