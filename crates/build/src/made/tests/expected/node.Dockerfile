# Made by Darsena (Node.js). To change it, save it as Dockerfile in the repository, or give the
# changed text with the application.

FROM node:22-slim AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ make python3 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/root/.npm npm ci
COPY . .
RUN npm run build
RUN npm prune --omit=dev

FROM node:22-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080
COPY --from=build --chown=node:node /app /app
WORKDIR /app
USER node
EXPOSE 8080
CMD ["node", "dist/server.js"]
