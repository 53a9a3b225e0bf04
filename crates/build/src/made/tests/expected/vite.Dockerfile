# Made by Darsena (Node.js). To change it, save it as Dockerfile in the repository, or give the
# changed text with the application.

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci
COPY . .
ARG VITE_API_URL
RUN npm run build

FROM caddy:2.10-alpine
ENV PORT=8080 XDG_CONFIG_HOME=/tmp XDG_DATA_HOME=/tmp
RUN printf '%s\n' \
    '{' \
    '  admin off' \
    '  auto_https off' \
    '}' \
    ':{$PORT} {' \
    '  root * /srv' \
    '  encode zstd gzip' \
    '  try_files {path} {path}.html {path}/index.html /index.html' \
    '  file_server {' \
    '    hide .[^w]*' \
    '  }' \
    '}' > /etc/caddy/Caddyfile
COPY --from=build /app/dist /srv
USER 1000:1000
EXPOSE 8080
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
