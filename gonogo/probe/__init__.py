"""The probe of a live service: requests at fixed moments, and the account of every one of them."""
