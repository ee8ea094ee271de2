// Ends a run with a line of the form that scripts/test adds up.

export default class {
  onTestRunEnd(modules) {
    const sum = { passed: 0, failed: 0, skipped: 0, pending: 0 };
    for (const module of modules) {
      // A file that does not load has no tests.
      if (module.state() === "failed" && module.children.size === 0) sum.failed += 1;
      for (const test of module.children.allTests()) sum[test.result().state] += 1;
    }
    const outcome = sum.failed === 0 ? "ok" : "FAILED";
    console.log(
      `test result: ${outcome}. ${sum.passed} passed; ${sum.failed} failed; ${sum.skipped} ignored`,
    );
  }
}
