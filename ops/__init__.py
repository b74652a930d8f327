"""The reference application's deployer on one host: ``python -m ops --site DIR deploy VERSION``.

It runs a release's own entry points in processes of their own and imports neither the application nor gonogo: gonogo judges,
this is what brings a release into service and takes it out again.
"""
