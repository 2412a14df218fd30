package web

import "github.com/sandgate/sandgate/fileserver/tools/document"

func RTF(in *document.Input, out *document.Output) error { panic("TODO") }
