// The square (-1, 1)^2 without its quadrant x > 0, y < 0: three squares of equal quadrilaterals.
// Boundary parts: reentrant (the two edges that meet at the origin), outer (all others).
DefineConstant[ mesh_size = {0.1, Name "mesh_size"} ];
n = Ceil(1 / mesh_size - 1e-9);

Point(1) = {0, 0, 0};
Point(2) = {1, 0, 0};
Point(3) = {1, 1, 0};
Point(4) = {0, 1, 0};
Point(5) = {-1, 1, 0};
Point(6) = {-1, 0, 0};
Point(7) = {-1, -1, 0};
Point(8) = {0, -1, 0};
For i In {1 : 7}
    Line(i) = {i, i + 1};
EndFor
Line(8) = {8, 1};
Line(9) = {4, 1};
Line(10) = {6, 1};
Curve Loop(1) = {1, 2, 3, 9};
Curve Loop(2) = {4, 5, 10, -9};
Curve Loop(3) = {6, 7, 8, -10};
For i In {1 : 3}
    Plane Surface(i) = {i};
EndFor

Transfinite Curve {1 : 10} = n + 1;
Transfinite Surface {1, 2, 3};
Recombine Surface {1, 2, 3};

Physical Surface("domain") = {1, 2, 3};
Physical Curve("reentrant") = {1, 8};
Physical Curve("outer") = {2, 3, 4, 5, 6, 7};
