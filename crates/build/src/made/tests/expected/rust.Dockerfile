# Made by Darsena (Rust). To change it, save it as Dockerfile in the repository, or give the
# changed text with the application.

FROM rust:1-slim-trixie AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends libssl-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --package shop --bin shop \
    && mkdir /out && cp target/release/shop /out/shop

FROM debian:trixie-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends libssl3t64 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /etc/ssl/certs /etc/ssl/certs
ENV PORT=8080 PATH=/app/bin:$PATH
COPY --from=build --chown=1000:1000 /out /app/bin
WORKDIR /app
USER 1000:1000
EXPOSE 8080
CMD ["/app/bin/shop"]
