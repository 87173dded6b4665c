"""The stages of the workflow: one module a stage, one public function each."""
