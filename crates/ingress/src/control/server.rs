//! The ingress' side of the control socket.
