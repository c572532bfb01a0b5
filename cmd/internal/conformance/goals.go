package conformance

// Goals are what a run must reach on a corpus, whatever its captures are.
func Goals() []Goal {
	return []Goal{
		{Line: "flows", Percent: 98},
		{Line: "http", Percent: 95},
		{Line: "tls", Percent: 95},
		{Line: "dns", Percent: 95},
	}
}
