package main

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/caplake/caplake/cmd/internal/conformance"
	"github.com/caplake/caplake/cmd/internal/run"
)

// coverage prints which captures fill each column: those of the corpus, and
// those in further directories.
func coverage(ctx context.Context, c *conformance.Corpus, dirs []string, converters []conformance.Converter, asJSON bool) error {
	var names, paths []string
	for i := range c.Captures {
		names, paths = append(names, c.Captures[i].ID()), append(paths, c.Captures[i].Path)
	}
	for _, d := range dirs {
		err := filepath.WalkDir(d, func(p string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				names, paths = append(names, filepath.ToSlash(p)), append(paths, p)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	all, err := conformance.Coverage(ctx, names, paths, converters)
	if err != nil {
		return err
	}
	if asJSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(all)
	}
	return conformance.PrintCoverage(os.Stdout, all, len(paths))
}

// convertAll converts with every option that fills columns.
func convertAll(path, out string, _ conformance.Options) conformance.Conversion {
	if err := convertWith(run.Config{Inputs: []string{path}}, out); err != nil {
		return conformance.Conversion{Error: err.Error()}
	}
	return conformance.Conversion{}
}

func convertWith(cfg run.Config, out string) error {
	cfg.Out = out
	cfg.Overwrite = true
	cfg.Workers = 1
	if cfg.Shards == 0 {
		cfg.Shards = 4
	}
	cfg.Headers, cfg.Fingerprints, cfg.CertificateDER, cfg.BodyHash, cfg.BodyMIME, cfg.Entropy, cfg.SPLT, cfg.FirstBytes = true, true, true, true, true, true, 8, 16
	_, err := run.Convert(context.Background(), cfg, nil)
	return err
}
