module axp.invalid/e2e

go 1.22

// v0.2.0 exists, but the module proxy answered 403 "This module version is not available" when this
// was written. v0.1.2 has the same Listen, which reads a response to its end; move on when served.
require github.com/AxmeAI/axme-sdk-go v0.1.2
