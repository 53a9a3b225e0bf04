# Made by Darsena (static site). To change it, save it as Dockerfile in the repository, or give the
# changed text with the application.

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
    '  try_files {path} {path}.html' \
    '  file_server {' \
    '    hide .[^w]*' \
    '  }' \
    '  handle_errors {' \
    '    rewrite * /404.html' \
    '    file_server' \
    '  }' \
    '}' > /etc/caddy/Caddyfile
COPY . /srv
USER 1000:1000
EXPOSE 8080
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
