"""The harness: tools, servers, suites, excuses, report."""
