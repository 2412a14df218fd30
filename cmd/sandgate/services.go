package main

import (
	"fmt"
	"strings"

	"github.com/sandgate/sandgate/fileserver"
	"github.com/sandgate/sandgate/fileserver/snapshot"
	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/journal"
	"github.com/sandgate/sandgate/gateway/quota"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/pyrunner"
)

// shelves are what reads and keeps files besides the sessions themselves.
type shelves struct {
	files     *fileserver.Files
	documents *fileserver.Documents
	snapshots *snapshot.Store
}

// newRegistry returns every service of the API, ready to be served. It fails when an RPC of the
// API is registered by nobody, or wrongly.
func newRegistry(
	sessions *gateway.Sessions, keys *keyParts, calls *journal.Journal, ledger *quota.Ledger, shelves shelves,
) (*gateway.Registry, error) {
	registry := gateway.NewRegistry()
	sessions.Register(registry)
	gateway.RegisterIdentity(registry, keys.gate, sessions)
	gateway.RegisterCalls(registry, calls)
	gateway.RegisterUsage(registry, ledger)
	gateway.RegisterOperator(registry)
	registerPython(registry, pyrunner.NewPython(sessions))
	registerProcesses(registry, pyrunner.NewProcess(sessions))
	registerFiles(registry, shelves.files)
	gateway.RegisterFileURLs(registry, keys.gate, sessions, shelves.files, keys.urls)
	registerDocuments(registry, shelves.documents)
	registerWorkspaces(registry, snapshot.NewService(shelves.snapshots, sessions))
	if err := registry.Err(); err != nil {
		return nil, fmt.Errorf("register the services: %w", err)
	}
	if missing := registry.Missing(); len(missing) > 0 {
		return nil, fmt.Errorf("register the services: nobody serves %s", strings.Join(missing, ", "))
	}
	return registry, nil
}

func registerPython(r *gateway.Registry, python *pyrunner.Python) {
	gateway.Stream(r, sandgatev1connect.PythonServiceRunProcedure, python.Run)
	gateway.Unary(r, sandgatev1connect.PythonServiceInterruptProcedure, python.Interrupt)
	gateway.Unary(r, sandgatev1connect.PythonServiceCreateContextProcedure, python.CreateContext)
	gateway.Unary(r, sandgatev1connect.PythonServiceListContextsProcedure, python.ListContexts)
	gateway.Unary(r, sandgatev1connect.PythonServiceRestartContextProcedure, python.RestartContext)
	gateway.Unary(r, sandgatev1connect.PythonServiceDeleteContextProcedure, python.DeleteContext)
	r.Render("python_run", func() gateway.Renderer { return pyrunner.NewRunRenderer() })
	r.Render("python_restart", func() gateway.Renderer { return pyrunner.NewRestartRenderer() })
	r.Resumable("python_run")
	r.Resumable("python_restart")
}

func registerProcesses(r *gateway.Registry, processes *pyrunner.Process) {
	gateway.Stream(r, sandgatev1connect.ProcessServiceShellProcedure, processes.Shell)
	gateway.Stream(r, sandgatev1connect.ProcessServiceStartProcedure, processes.Start)
	gateway.Stream(r, sandgatev1connect.ProcessServiceConnectProcedure, processes.Connect)
	gateway.Unary(r, sandgatev1connect.ProcessServiceListProcessesProcedure, processes.ListProcesses)
	gateway.Unary(r, sandgatev1connect.ProcessServiceSendInputProcedure, processes.SendInput)
	gateway.Unary(r, sandgatev1connect.ProcessServiceCloseStdinProcedure, processes.CloseStdin)
	gateway.Unary(r, sandgatev1connect.ProcessServiceSendSignalProcedure, processes.SendSignal)
	gateway.Unary(r, sandgatev1connect.ProcessServiceResizeProcedure, processes.Resize)
	r.Render("shell_run", func() gateway.Renderer { return pyrunner.NewShellRenderer() })
	r.Resumable("shell_run")
}

func registerFiles(r *gateway.Registry, files *fileserver.Files) {
	gateway.Unary(r, sandgatev1connect.FileServiceReadProcedure, files.Read)
	gateway.Unary(r, sandgatev1connect.FileServiceWriteProcedure, files.Write)
	gateway.Unary(r, sandgatev1connect.FileServiceEditProcedure, files.Edit)
	gateway.Unary(r, sandgatev1connect.FileServiceListFilesProcedure, files.ListFiles)
	gateway.Unary(r, sandgatev1connect.FileServiceStatProcedure, files.Stat)
	gateway.Unary(r, sandgatev1connect.FileServiceMoveProcedure, files.Move)
	gateway.Unary(r, sandgatev1connect.FileServiceRemoveProcedure, files.Remove)
	gateway.Unary(r, sandgatev1connect.FileServiceMakeDirProcedure, files.MakeDir)
	gateway.Unary(r, sandgatev1connect.FileServiceGlobProcedure, files.Glob)
	gateway.Unary(r, sandgatev1connect.FileServiceGrepProcedure, files.Grep)
	gateway.Unary(r, sandgatev1connect.FileServiceTreeProcedure, files.Tree)
	gateway.Unary(r, sandgatev1connect.FileServiceCopyProcedure, files.Copy)
	gateway.Unary(r, sandgatev1connect.FileServiceHashProcedure, files.Hash)
	gateway.Unary(r, sandgatev1connect.FileServiceDiffProcedure, files.Diff)
	gateway.Unary(r, sandgatev1connect.FileServicePatchProcedure, files.Patch)
	gateway.Stream(r, sandgatev1connect.FileServiceWatchProcedure, files.Watch)
	gateway.ClientStream(r, sandgatev1connect.FileServiceUploadProcedure, files.Upload)
	gateway.Stream(r, sandgatev1connect.FileServiceDownloadProcedure, files.Download)
	gateway.Stream(r, sandgatev1connect.FileServiceExportProcedure, files.Export)
	gateway.ClientStream(r, sandgatev1connect.FileServiceImportProcedure, files.Import)
	for _, tool := range []string{
		"file_read", "file_write", "file_edit", "file_list", "file_stat", "file_move", "file_remove", "file_make_dir",
		"file_glob", "file_grep", "file_tree", "file_copy", "file_hash", "file_diff", "file_patch",
	} {
		r.Render(tool, func() gateway.Renderer { return fileserver.NewRenderer() })
		r.Resumable(tool)
	}
}

func registerDocuments(r *gateway.Registry, documents *fileserver.Documents) {
	gateway.Unary(r, sandgatev1connect.FileServiceReadDocumentProcedure, documents.ReadDocument)
	gateway.Unary(r, sandgatev1connect.FileServiceArchiveProcedure, documents.Archive)
	gateway.Unary(r, sandgatev1connect.FileServiceExtractProcedure, documents.Extract)
	for _, tool := range []string{"file_read_document", "file_archive", "file_extract"} {
		r.Render(tool, func() gateway.Renderer { return fileserver.NewRenderer() })
		r.Resumable(tool)
	}
}

func registerWorkspaces(r *gateway.Registry, workspaces *snapshot.Service) {
	gateway.Unary(r, sandgatev1connect.WorkspaceServiceSaveWorkspaceProcedure, workspaces.SaveWorkspace)
	gateway.Unary(r, sandgatev1connect.WorkspaceServiceListWorkspacesProcedure, workspaces.ListWorkspaces)
	gateway.Unary(r, sandgatev1connect.WorkspaceServiceDeleteWorkspaceProcedure, workspaces.DeleteWorkspace)
	gateway.Unary(r, sandgatev1connect.WorkspaceServiceCreateCheckpointProcedure, workspaces.CreateCheckpoint)
	gateway.Unary(r, sandgatev1connect.WorkspaceServiceListCheckpointsProcedure, workspaces.ListCheckpoints)
	gateway.Unary(r, sandgatev1connect.WorkspaceServiceGetChangesProcedure, workspaces.GetChanges)
	gateway.Unary(r, sandgatev1connect.WorkspaceServiceUndoProcedure, workspaces.Undo)
	for _, tool := range []string{"workspace_save", "workspace_checkpoint", "workspace_changes", "workspace_undo"} {
		r.Render(tool, func() gateway.Renderer { return fileserver.NewRenderer() })
	}
}
