//! HTTP handlers of API v3, one authorization table, error mapping.
