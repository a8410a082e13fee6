#!/usr/bin/env bash
# A change of environment properties, without a new version: the same as at a deployment.
exec "$(dirname "${BASH_SOURCE[0]}")/../../hooks/predeploy/02_proxy_answers.sh"
