"""Tools of the deployment: they make what .platform/ and dist/ hold, and are no part of the service."""
