# Made by Darsena (Python). To change it, save it as Dockerfile in the repository, or give the
# changed text with the application.

FROM python:3.12-slim AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev libpq-dev \
    && rm -rf /var/lib/apt/lists/*
ENV VIRTUAL_ENV=/venv PATH=/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
RUN python -m venv /venv
COPY requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/pip pip install -r requirements.txt

FROM python:3.12-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq5 \
    && rm -rf /var/lib/apt/lists/*
ENV PYTHONUNBUFFERED=1 PORT=8080 HOME=/app PATH=/venv/bin:$PATH
COPY --from=build /venv /venv
COPY --chown=1000:1000 . /app
WORKDIR /app
RUN SECRET_KEY=unused DJANGO_SECRET_KEY=unused python manage.py collectstatic --noinput
USER 1000:1000
EXPOSE 8080
CMD ["gunicorn", "shop.wsgi"]
