# syntax=docker/dockerfile:1
# Two stages: what is needed to build stays behind. Runs as a numeric user on a read-only root, with one data volume:
#   docker run --read-only --tmpfs /tmp -v tambo-data:/data -v ./tambo.toml:/etc/tambo/tambo.toml:ro \
#     -p 8080:8080 -p 3128:3128 -p 8444:8444 tambo
# Media uses ephemeral UDP ports: consultations need --network host. The settings file says [box] data = "/data", and
# [admin] listen = "127.0.0.1:9090", which the health check asks.

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements.txt requirements-dev.txt ./
RUN python -m venv /opt/tambo
RUN /opt/tambo/bin/pip install --no-cache-dir --no-input --require-hashes -r requirements.txt
RUN python -m venv /opt/build
RUN /opt/build/bin/pip install --no-cache-dir --no-input --require-hashes -r requirements-dev.txt
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
COPY content content
COPY templates templates
RUN /opt/build/bin/python -m hatchling build -t wheel -d /dist
RUN /opt/tambo/bin/pip install --no-cache-dir --no-input --no-deps --no-index /dist/tambo-*.whl

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="tambo" \
      org.opencontainers.image.description="A gateway for a village that shares one weak 4G link" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/tambo /opt/tambo
ENV PATH=/opt/tambo/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TAMBO_CONFIG=/etc/tambo/tambo.toml
RUN install -d -m 0700 -o 10001 -g 10001 /data
USER 10001:10001
VOLUME /data
EXPOSE 8080 8443 3128 8444
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=6s --start-period=20s CMD ["tambo", "check", "--alive"]
ENTRYPOINT ["tambo"]
CMD ["run"]
