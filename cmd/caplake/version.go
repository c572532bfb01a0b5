package main

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/caplake/caplake/schema"
)

// version is a constant, not what the build says of itself: it is written
// into every file, and the same source must write the same bytes.
const version = "0.1.0-dev"

func (c *command) version(args []string) int {
	if len(args) > 0 {
		return c.usage("", fmt.Errorf("version takes no arguments, got %q", args[0]))
	}
	info, _ := debug.ReadBuildInfo()
	return c.print(versionText(info))
}

// versionText says what the program is and, as far as the build knows, of
// which module version and commit. Nothing is set by the linker's flags, so
// that go install knows as much as a release.
func versionText(info *debug.BuildInfo) string {
	if info == nil { // built without modules
		return fmt.Sprintf("caplake %s (tables %s)\n", version, schema.Version)
	}
	text := fmt.Sprintf("caplake %s (tables %s, %s)\n", version, schema.Version, info.GoVersion)
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	var from []string
	if v := info.Main.Version; v != "" && v != "(devel)" {
		from = append(from, "module "+v)
	}
	if r := set["vcs.revision"]; r != "" {
		commit := "commit " + r[:min(len(r), 12)]
		if t := set["vcs.time"]; t != "" {
			commit += " of " + t
		}
		if set["vcs.modified"] == "true" {
			commit += ", modified"
		}
		from = append(from, commit)
	}
	if len(from) > 0 {
		text += "built from " + strings.Join(from, ", ") + "\n"
	}
	return text
}
