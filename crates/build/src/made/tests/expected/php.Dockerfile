# Made by Darsena (PHP). To change it, save it as Dockerfile in the repository, or give the
# changed text with the application.

FROM node:24-slim AS assets
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci
COPY . .
RUN npm run build

FROM composer:2.8 AS composer

FROM php:8.4-apache AS base
RUN apt-get update \
    && apt-get install -y --no-install-recommends libfreetype-dev libjpeg-dev libpng-dev \
    && rm -rf /var/lib/apt/lists/*
RUN docker-php-ext-configure gd --with-freetype --with-jpeg
RUN docker-php-ext-install -j2 gd mysqli pdo_mysql
ENV PORT=8080
RUN a2enmod rewrite headers \
    && sed -ri 's!^Listen 80$!Listen ${PORT}!' /etc/apache2/ports.conf \
    && sed -ri 's!:80>!:${PORT}>!' /etc/apache2/sites-available/000-default.conf \
    && sed -ri 's!/var/www/html!/app/public!' /etc/apache2/sites-available/000-default.conf \
    && sed -ri 's!/var/www/!/app/!; s!Options Indexes FollowSymLinks!Options FollowSymLinks!' \
        /etc/apache2/apache2.conf /etc/apache2/conf-available/docker-php.conf \
    && printf '%s\n' 'ServerName localhost' 'RedirectMatch 404 "/\.(?!well-known)"' \
        > /etc/apache2/conf-enabled/application.conf

FROM base AS vendor
RUN apt-get update \
    && apt-get install -y --no-install-recommends git unzip \
    && rm -rf /var/lib/apt/lists/*
COPY --from=composer /usr/bin/composer /usr/bin/composer
WORKDIR /app
COPY composer.json composer.lock ./
RUN --mount=type=cache,target=/root/.composer/cache COMPOSER_ALLOW_SUPERUSER=1 composer \
    install --no-dev --no-interaction --prefer-dist --no-scripts --no-autoloader
COPY . .
RUN --mount=type=cache,target=/root/.composer/cache COMPOSER_ALLOW_SUPERUSER=1 composer \
    install --no-dev --no-interaction --prefer-dist --optimize-autoloader

FROM base
COPY --from=vendor --chown=www-data:www-data /app /app
WORKDIR /app
COPY --from=assets --chown=www-data:www-data /app/public /app/public
USER www-data
EXPOSE 8080
CMD ["apache2-foreground"]
