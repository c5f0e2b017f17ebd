"""The only importer of ray: Tune runs trajectories, Train runs fits with workers, Data runs sampling."""
