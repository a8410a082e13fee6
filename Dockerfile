# The service in a container. On Elastic Beanstalk it is not needed: see docs/deploy.md, "In a container".
#   docker build -t shine-hare-run . && docker run --rm -p 8000:8000 shine-hare-run
# The digest is that of the official image's public record (docker-library/repo-info); Dependabot renews it.
FROM python:3.12.14-slim-bookworm@sha256:0f5b26b9518d002b6173fd61daad821fa340635ebfec5bba471013f9ca114579

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    PORT=8000 \
    OPERATOR_LOCAL=no \
    CORS_ORIGINS=https://shineskincollective.com,https://www.shineskincollective.com \
    MODEL_CACHE_DIR=/var/cache/shine-hare-run

WORKDIR /srv/shine-hare-run

COPY requirements.txt ./
RUN python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt

COPY application.py gunicorn.conf.py sbom.cdx.json ./
COPY analyzer ./analyzer
COPY web ./web
COPY models ./models

RUN python -m analyzer.model_store verify models/hare_run_v6_facial --open
RUN mkdir -p "$MODEL_CACHE_DIR" && chown -R 10001:10001 "$MODEL_CACHE_DIR"

USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/ready', timeout=4)"]
CMD ["gunicorn", "-c", "gunicorn.conf.py", "application:application"]
