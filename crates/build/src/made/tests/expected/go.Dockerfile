# Made by Darsena (Go). To change it, save it as Dockerfile in the repository, or give the
# changed text with the application.

FROM golang:1.24 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -tags timetzdata -ldflags='-s -w' \
    -o /out/shop ./cmd/shop

FROM alpine:3.22
ENV PORT=8080 PATH=/app/bin:$PATH
COPY --from=build --chown=1000:1000 /out /app/bin
WORKDIR /app
COPY --chown=1000:1000 templates ./templates/
USER 1000:1000
EXPOSE 8080
CMD ["/app/bin/shop"]
