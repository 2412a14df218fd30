package office

import "github.com/sandgate/sandgate/fileserver/tools/document"

func Word(in *document.Input, out *document.Output) error { panic("TODO") }

func Excel(in *document.Input, out *document.Output) error { panic("TODO") }

func PowerPoint(in *document.Input, out *document.Output) error { panic("TODO") }
