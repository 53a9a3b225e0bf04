//! The JSON of API v3 (api/openapi-v3.yaml).
