package ingest

// input is one input being read.
type input struct{}
