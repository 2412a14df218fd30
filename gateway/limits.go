package gateway

import (
	"maps"
	"slices"
	"strings"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
)

// reservedMetadata begins the keys that callers may not use for labels.
const reservedMetadata = "sandgate"

// specFor turns a request into a spec with every default filled in, or says which field is wrong.
func (s *Sessions) specFor(req *sandgatev1.CreateSessionRequest) (sandbox.Spec, error) {
	template := req.GetTemplate()
	if template == "" {
		template = s.opts.Templates[0]
	}
	if !slices.Contains(s.opts.Templates, template) {
		return sandbox.Spec{}, Errorf(connect.CodeInvalidArgument, ReasonInvalidArgument,
			"Use one of: "+strings.Join(s.opts.Templates, ", ")+".", "template: there is none of this name")
	}
	spec := sandbox.Spec{Template: template, Runtime: s.opts.Runtime, Limits: s.limitsFor(req.GetLimits()), Deferred: req.GetDeferred()}
	if err := spec.Check(s.opts.Maximum); err != nil {
		return sandbox.Spec{}, Error(connect.CodeInvalidArgument, ReasonInvalidArgument,
			"Change the named limit, or leave it out for the default.", err)
	}
	return spec, nil
}

// limitsFor fills in what the caller left open: first with the operator's defaults, then with those
// of the package sandbox. A default never exceeds what the rest of the request leaves room for, so
// that asking for little memory alone is enough.
func (s *Sessions) limitsFor(asked *sandgatev1.Limits) sandbox.Limits {
	limits := sandbox.Limits{
		MemoryBytes:    asked.GetMemoryBytes(),
		CPUMillis:      asked.GetCpuMillis(),
		MaxProcesses:   asked.GetMaxProcesses(),
		WorkspaceBytes: asked.GetWorkspaceBytes(),
		WorkspaceFiles: asked.GetWorkspaceFiles(),
	}
	def := s.opts.Defaults
	if limits.MemoryBytes == 0 {
		limits.MemoryBytes = def.MemoryBytes
	}
	if limits.CPUMillis == 0 {
		limits.CPUMillis = def.CPUMillis
	}
	if limits.MaxProcesses == 0 {
		limits.MaxProcesses = def.MaxProcesses
	}
	if limits.WorkspaceBytes == 0 && def.WorkspaceBytes > 0 {
		limits.WorkspaceBytes = min(def.WorkspaceBytes, limits.MemoryBytes/2)
	}
	if limits.WorkspaceFiles == 0 {
		limits.WorkspaceFiles = def.WorkspaceFiles
	}
	return limits.WithDefaults()
}

// checkMetadata refuses the labels that Sandgate keeps for itself.
func checkMetadata(metadata map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		if strings.HasPrefix(strings.ToLower(key), reservedMetadata) {
			return Errorf(connect.CodeInvalidArgument, ReasonInvalidArgument,
				"Choose another key.", "metadata: the key %q begins with %q, which is reserved", key, reservedMetadata)
		}
	}
	return nil
}
