package main

import (
	"runtime/debug"
	"testing"

	"github.com/caplake/caplake/schema"
)

func TestVersionText(t *testing.T) {
	const first = "caplake " + version + " (tables " + schema.Version
	settings := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef0123"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: "true"}}
	for name, c := range map[string]struct {
		info *debug.BuildInfo
		want string
	}{
		"no modules":       {nil, first + ")\n"},
		"nothing known":    {&debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Version: "(devel)"}}, first + ", go1.26)\n"},
		"go install":       {&debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Version: "v0.2.0"}}, first + ", go1.26)\nbuilt from module v0.2.0\n"},
		"a commit, edited": {&debug.BuildInfo{GoVersion: "go1.26", Settings: settings}, first + ", go1.26)\nbuilt from commit 0123456789ab of 2026-01-02T03:04:05Z, modified\n"},
		"a release":        {&debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Version: "v0.2.0"}, Settings: settings[:1]}, first + ", go1.26)\nbuilt from module v0.2.0, commit 0123456789ab\n"},
	} {
		if got := versionText(c.info); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
