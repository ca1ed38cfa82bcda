// The ball of radius 1 around the origin, of tetrahedra.
// Boundary part: sphere.
DefineConstant[ mesh_size = {0.25, Name "mesh_size"} ];
SetFactory("OpenCASCADE");
Mesh.MeshSizeMax = mesh_size;

Sphere(1) = {0, 0, 0, 1};

Physical Volume("ball") = {1};
Physical Surface("sphere") = {1};
